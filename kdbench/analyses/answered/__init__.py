"""Students and their teacher on tasks with closed answers: who is right, by training seed."""
