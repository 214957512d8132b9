"""Quality of candidates, scored once: tables, a number per image, and maps, one per crop."""
