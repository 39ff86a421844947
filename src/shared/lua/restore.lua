-- A replica writes its own calls back, before it takes calls from a log that may have lost them.
-- KEYS: 1 the account's state, 2 its calls.
-- Arguments: what `trusted_epoch` needs, life in milliseconds, calls and, in the same sequence, left (how long each
-- still counts).
local known = trusted_epoch()
for place, call in ipairs(arguments.calls) do
  -- Of two instants for one call, the later one stays.
  redis.call('ZADD', calls, 'GT', text(now + arguments.left[place]), call)
end
keep()
return answer('restored', known)
