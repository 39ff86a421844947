-- A caller's bucket: a replica gives units back, tells those that it let through unpaid, and takes what it needs.
-- KEYS: 1 the bucket, which knows when it will be full. ARGV: 1 requests, 2 per in nanoseconds, 3 burst, 4 given back, 5 owed, 6 needed.
local interval = tonumber(ARGV[2]) / 1000 / tonumber(ARGV[1])
local span = tonumber(ARGV[3]) * interval
local stored = redis.call('HGET', KEYS[1], 'full')
-- At most a whole burst is owed, and a microsecond for rounding.
local full_at = number(stored, now + 2 * span + 1)
local oddity = ''
if stored and full_at == 0 then
  oddity = 'invalid'
end

full_at = math.max(math.max(full_at, now) - tonumber(ARGV[4]) * interval, now)
full_at = math.min(full_at + tonumber(ARGV[5]) * interval, now + 2 * span)
-- A thousandth of a unit makes up for rounding.
local there = math.max(math.floor((now + span - full_at) / interval + 0.001), 0)
local taken = math.min(tonumber(ARGV[6]), there)
full_at = full_at + taken * interval

-- A full bucket is forgotten: one that is not there is full.
if full_at > now then
  redis.call('HSET', KEYS[1], 'full', text(full_at))
  redis.call('PEXPIRE', KEYS[1], text(math.ceil((full_at - now) / 1000)))
else
  redis.call('DEL', KEYS[1])
end
return answer('units', oddity, text(taken), text(full_at - now))
