"""How closely a student agrees with its teacher, on tokens and on texts."""
