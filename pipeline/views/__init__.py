"""How people and programs look: health, the terminal."""
