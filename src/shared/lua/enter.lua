-- Enters a read: a snapshot that will do, the read that runs, the failure that is held, or the right to read.
-- KEYS: 1 the account's state, 2 its calls, 3 the balance's snapshot.
-- ARGV: 1 balance, 2 above, 3 since, 4 max age, 5 the read that was waited for, 6 the lease that is over,
-- 7 lease to take, 8 whether it may read, 9 epoch as known, 10 epoch to begin, 11 requests, 12 share, 13 span, 14 per,
-- 15 own calls, 16 own share, 17 call, 18 credential, 19 life in milliseconds, 20 longest hold,
-- 21 the highest turn that is known to whoever asks.
local balance, credential = ARGV[1], ARGV[18]
local max_age, joined = tonumber(ARGV[4]), tonumber(ARGV[5])
local oddity = ''

local mark = number(redis.call('HGET', state, 'm' .. balance), latest)
local above, since = math.max(tonumber(ARGV[2]), mark), tonumber(ARGV[3])

local snapshot = redis.call('HMGET', KEYS[3], 'n', 't', 'v')
if snapshot[1] and snapshot[2] and snapshot[3] then
  local turn, instant = tonumber(snapshot[1]) or 0, tonumber(snapshot[2]) or 0
  if instant > now then
    oddity = 'skew'
  elseif now - instant >= max_age then
    oddity = 'old'
  elseif turn > above and instant >= since then
    return answer('found', oddity, snapshot[1], snapshot[2], snapshot[3])
  end
end

if joined > 0 then
  local failure = redis.call('HGET', state, 'f' .. balance)
  local kind = string.match(failure or '', '^%d+ %d+ (.+)$')
  if failure and is_failure('f' .. balance, kind) and number(string.match(failure, '^(%d+) '), latest) >= joined then
    return answer('failed', oddity, failure)
  end
end

local lease = redis.call('HGET', state, 'l' .. balance)
if lease then
  local turn, granted, token = string.match(lease, '^(%d+) (%d+) (%x+)$')
  if token and token ~= ARGV[6] and number(granted, now) > 0 and number(turn, latest) > 0 then
    return answer('running', oddity, turn, granted, token)
  end
end

for _, field in ipairs({ 'ha', 'hc' .. credential, 'hb' .. balance }) do
  local hold = redis.call('HGET', state, field)
  if hold then
    local ends, failure = string.match(hold, '^(%d+) (.+)$')
    ends = number(ends, now + tonumber(ARGV[20]))
    if ends > now and is_failure(field, failure) then
      return answer('held', oddity, text(ends - now), failure)
    end
  end
end

if ARGV[8] == '0' then
  return answer('closed', oddity)
end

local known, began = epoch()
if not known then
  known, began = begin_epoch(ARGV[10])
end
if known ~= ARGV[9] and tonumber(ARGV[15]) > 0 then
  return answer('epoch', oddity, known)
end

local last = number(redis.call('HGET', state, 'n' .. balance), latest)
local wait, count = take({
  epoch = ARGV[10], began = began, requests = tonumber(ARGV[11]), share = tonumber(ARGV[12]), span = tonumber(ARGV[13]),
  per = tonumber(ARGV[14]), own = tonumber(ARGV[15]), own_share = tonumber(ARGV[16]), call = ARGV[17],
})
keep(ARGV[19])
if wait then
  return answer('spent', oddity, text(wait), text(count))
end
-- Above whatever anybody knows, also where the store has lost it or its clock was set back.
local turn = math.max(last, above, tonumber(ARGV[21])) + 1
turn = math.max(turn, now)
redis.call('HSET', state, 'n' .. balance, text(turn), 'l' .. balance, text(turn) .. ' ' .. text(now) .. ' ' .. ARGV[7])
return answer('granted', oddity, text(turn), text(count), known)
