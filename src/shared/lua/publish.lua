-- A read has brought a snapshot: it is stored unless a newer one is, and the lease ends.
-- KEYS: 1 the account's state, 2 its calls, 3 the balance's snapshot.
-- ARGV: 1 balance, 2 lease, 3 turn, 4 instant, 5 snapshot, 6 max age, 7 channel, 8 credential.
local balance, turn, instant = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local mark = number(redis.call('HGET', state, 'm' .. balance), latest)
local stored = number(redis.call('HGET', KEYS[3], 'n'), now + 1000000)
local life = math.floor((instant + tonumber(ARGV[6]) - now) / 1000)
if turn > mark and turn > stored and life > 0 then
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], 'n', ARGV[3], 't', ARGV[4], 'v', ARGV[5])
  redis.call('PEXPIRE', KEYS[3], life)
end
-- A failure of a read that was sent later is not over.
if number(redis.call('HGET', state, 'failed'), now) <= turn then
  redis.call('HDEL', state, 'ha', 'hb' .. balance, 'hc' .. ARGV[8], 'ra', 'rb' .. balance, 'rc' .. ARGV[8], 'f' .. balance)
end
local lease = redis.call('HGET', state, 'l' .. balance)
if lease and string.match(lease, ' (%x+)$') == ARGV[2] then
  redis.call('HDEL', state, 'l' .. balance)
end
redis.call('PUBLISH', ARGV[7], 'ended ' .. balance .. ' ' .. ARGV[3])
return answer('published')
