"""What users may do: one list for both formats. ``rules`` decides, ``phrases`` translates, ``desk`` carries out."""
