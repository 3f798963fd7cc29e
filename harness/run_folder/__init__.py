"""Write the folder of a run, keep it whole through power cuts, and find it again."""
