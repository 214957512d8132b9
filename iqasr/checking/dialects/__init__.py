"""Option files of other tools, and earlier ones of ours, translated before they are checked."""
