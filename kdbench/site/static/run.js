"use strict";
// The page Run.
kdbench.page("run", { show(params, element) {} });
