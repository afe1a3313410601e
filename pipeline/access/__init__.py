"""Who may write and read over HTTP: keys, their scopes, and the verifier that every server asks."""
