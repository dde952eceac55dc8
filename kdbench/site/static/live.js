"use strict";
// Under `kdbench view`: loads the page anew once the results have changed; the address stays.
