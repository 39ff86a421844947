-- A replica writes back what it knows of itself, before it takes from what may have been lost.
-- KEYS: 1 the account's state, 2 its calls.
-- ARGV: 1 epoch to begin, 2 life in milliseconds, 3 how many calls, then each call and how long it counts on.
local known = epoch()
if not known then
  known = begin_epoch(ARGV[1])
end
for place = 4, 3 + 2 * tonumber(ARGV[3]), 2 do
  redis.call('ZADD', calls, 'NX', text(now + tonumber(ARGV[place + 1])), ARGV[place])
end
keep(ARGV[2])
return answer('restored', known)
