// Runs before the page is drawn: whoever chose light or dark sees no flash of the other.
"use strict";
const chosenTheme = localStorage.getItem("engrain-theme");
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;
