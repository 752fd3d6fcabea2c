"""How closely image operations follow Pillow: Augury's own and those of other libraries."""
