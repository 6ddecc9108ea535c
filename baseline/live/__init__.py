"""The live table of ``baseline top``: what it shows, how it looks, and the terminal it is on."""
