"""How closely image operations, Augury's own and other libraries', match Pillow."""
