"""The bundled textbook crystals and the scripts that made them."""
