"""Labels to distrust: what rules find, what people decide."""
