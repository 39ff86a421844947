-- A replica writes its own calls back, before it takes from a log that may have lost them.
-- KEYS: 1 the account's state, 2 its calls.
-- Asked: what `trusted_epoch` needs, life in milliseconds, calls and, in the same order, left (how long each counts).
local known = trusted_epoch()
for place, call in ipairs(ask.calls) do
  -- The latest instant stays.
  redis.call('ZADD', calls, 'GT', text(now + ask.left[place]), call)
end
keep()
return answer('restored', known)
