"use strict"; // nothing on this page moves
