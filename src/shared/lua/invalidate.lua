-- Balances of an account are invalid from now on. KEYS: 1 the account's state, then a snapshot for each balance.
-- ARGV: 1 channel, 2 life in milliseconds, then each balance and the highest turn that is known to whoever asks.
local mark = math.ceil(now / 1000) * 1000
for place = 3, #ARGV, 2 do
  local fields = redis.call('HMGET', KEYS[1], 'm' .. ARGV[place], 'n' .. ARGV[place])
  mark = math.max(mark, number(fields[1], latest), number(fields[2], latest), tonumber(ARGV[place + 1]))
end
mark = math.ceil(mark / 1000) * 1000
for place = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], 'm' .. ARGV[place], text(mark))
  redis.call('DEL', KEYS[(place + 1) / 2])
  redis.call('PUBLISH', ARGV[1], 'marked ' .. ARGV[place] .. ' ' .. text(mark))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return answer('marked', text(mark))
