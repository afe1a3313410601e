"""What each kind of receiver is told, one small module each: a notice in, the calls that say it out."""
