'use strict';

// Loaded before a host: a Node of some day, whose parsers are another module's.

const { Module } = require('node:module');

const { _load: load } = Module;
Module._load = (id, ...others) => (id === 'node:_http_common' ? {} : load(id, ...others));
