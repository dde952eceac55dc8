"""A judge: a model that grades responses, or compares them with others in both orders."""
