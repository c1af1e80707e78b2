'use strict';

// Loaded before a host: all its sockets have streams from the beginning, as before there was a short way.

require('../../../Sources/RuleHost/JavaScript/shortway').turnOff();
