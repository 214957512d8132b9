"""Image files: what may be used, how it is decoded and cropped."""
