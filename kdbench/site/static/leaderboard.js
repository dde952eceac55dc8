"use strict";
// The page Leaderboard.
kdbench.page("leaderboard", { show(params, element) {} });
