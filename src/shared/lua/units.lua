-- A caller's bucket: a replica returns units, reports the units that it owes, and takes the units that it needs.
-- KEYS: 1 the bucket; its only field is the instant when it will be full.
-- Arguments: requests, per in nanoseconds, burst, back (returned units), owed (units that were used but not taken
-- from the bucket), missing (units to take).
local interval = arguments.per / 1000 / arguments.requests
local span = arguments.burst * interval
local stored = redis.call('HGET', KEYS[1], 'full')
-- An empty bucket is full after one span; one that owes a whole burst, after two. One microsecond is for rounding.
local full_at = number(stored, now + 2 * span + 1)
local anomaly = ''
if stored and full_at == 0 then
  anomaly = 'invalid'
end

full_at = math.max(math.max(full_at, now) - arguments.back * interval, now)
full_at = math.min(full_at + arguments.owed * interval, now + 2 * span)
-- A thousandth of a unit makes up for rounding.
local there = math.max(math.floor((now + span - full_at) / interval + 0.001), 0)
local taken = math.min(arguments.missing, there)
full_at = full_at + taken * interval

-- A full bucket is deleted: a bucket that does not exist counts as full.
if full_at > now then
  redis.call('HSET', KEYS[1], 'full', text(full_at))
  redis.call('PEXPIRE', KEYS[1], text(math.ceil((full_at - now) / 1000)))
else
  redis.call('DEL', KEYS[1])
end
return answer('units', anomaly, text(taken), text(full_at - now))
