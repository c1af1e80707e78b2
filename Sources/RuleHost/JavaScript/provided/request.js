'use strict';
module.exports = function request() { throw new Error('seam'); };
