"""What is wrong with images on the disk, found before a run meets them."""
