"""Labels and submissions as text: runs, polygons, COCO, masks as PNG, rows of a CSV file."""
