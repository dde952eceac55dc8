"use strict";
// The page Compare.
kdbench.page("compare", { show(params, element) {} });
