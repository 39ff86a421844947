-- A read has failed, or was given up: who waited gets its failure, a hold begins, and the lease ends.
-- KEYS: 1 the account's state, 2 its calls.
-- ARGV: 1 balance, 2 lease, 3 turn, 4 failure, 5 scope of the hold (a account, b balance, c credential, or none),
-- 6 the first length, 7 the longest, 8 whether each in a row doubles it, 9 channel, 10 credential.
local balance, turn = ARGV[1], ARGV[3]
local held = 0
if ARGV[5] ~= '' then
  local whose = ({ a = '', b = balance, c = ARGV[10] })[ARGV[5]]
  held = tonumber(ARGV[6])
  if ARGV[8] == '1' then
    local row = 'r' .. ARGV[5] .. whose
    local times = number(redis.call('HGET', state, row), 20)
    -- Reads that failed together are one in the row.
    if times == 0 or number(redis.call('HGET', state, 'failed'), now) <= tonumber(turn) then
      times = math.min(times + 1, 20)
      redis.call('HSET', state, row, text(times))
    end
    held = math.min(held * 2 ^ (times - 1), tonumber(ARGV[7]))
  end
  local field = 'h' .. ARGV[5] .. whose
  local longer = string.match(redis.call('HGET', state, field) or '', '^(%d+) ')
  if number(longer, now + tonumber(ARGV[7])) <= now + held then
    redis.call('HSET', state, field, text(now + held) .. ' ' .. ARGV[4])
  end
  redis.call('HSET', state, 'failed', text(now))
end
if ARGV[4] ~= '' then
  redis.call('HSET', state, 'f' .. balance, turn .. ' ' .. text(now + held) .. ' ' .. ARGV[4])
end
local lease = redis.call('HGET', state, 'l' .. balance)
if lease and string.match(lease, ' (%x+)$') == ARGV[2] then
  -- Whoever was not told of his lease does not know its turn.
  turn = string.match(lease, '^%d+')
  redis.call('HDEL', state, 'l' .. balance)
end
redis.call('PUBLISH', ARGV[9], 'ended ' .. balance .. ' ' .. turn)
return answer('noted', text(held))
