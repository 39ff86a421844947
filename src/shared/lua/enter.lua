-- Enters a read: finds a snapshot, a running read or a held failure, or else grants the right to read.
-- KEYS: 1 the account's state, 2 its calls, 3 the balance's snapshot.
-- Asked, besides what `take` and `trusted_epoch` need: balance, above and since (a snapshot's turn must be above the
-- one, its instant not before the other), max_age, joined (the turn of the read that was waited for, or 0), expired
-- (the token of an expired lease, or empty), lease (the token of the new lease), may_read, epoch (that the replica
-- knows), credential, longest_hold, highest (the highest turn that the replica knows), order (the name under which
-- reads are counted: the balance, or a common name if one read answers every balance).
local balance, order = arguments.balance, arguments.order
local anomaly = ''

local mark = number(redis.call('HGET', state, 'm' .. balance), latest)
local above = math.max(arguments.above, mark)

local snapshot = redis.call('HMGET', KEYS[3], 'n', 't', 'v', 'e')
if snapshot[1] and snapshot[2] and snapshot[3] then
  local turn, instant = number(snapshot[1], latest), tonumber(snapshot[2]) or 0
  if instant > now then
    anomaly = 'skew'
  elseif turn == 0 or now - instant >= arguments.max_age then
    anomaly = 'old'
  elseif turn > above and instant >= arguments.since and snapshot[4] == redis.call('HGET', state, 'epoch') then
    return answer('found', anomaly, snapshot[1], snapshot[2], snapshot[3])
  end
end

if arguments.joined > 0 then
  local failure = redis.call('HGET', state, 'f' .. balance)
  local kind = string.match(failure or '', '^%d+ %d+ (.+)$')
  if failure and is_failure('f' .. balance, kind)
    and number(string.match(failure, '^(%d+) '), latest) >= arguments.joined then
    return answer('failed', anomaly, failure)
  end
end

local lease = redis.call('HGET', state, 'l' .. order)
if lease then
  local turn, granted, token = string.match(lease, '^(%d+) (%d+) (%x+)$')
  if token and token ~= arguments.expired and number(granted, now) > 0 and number(turn, latest) > 0 then
    return answer('running', anomaly, turn, granted, token)
  end
end

for _, field in ipairs({ 'ha', 'hc' .. arguments.credential, 'hb' .. balance }) do
  local hold = redis.call('HGET', state, field)
  if hold then
    local ends, failure = string.match(hold, '^(%d+) (.+)$')
    ends = number(ends, now + arguments.longest_hold)
    if ends > now and is_failure(field, failure) then
      return answer('held', anomaly, text(ends - now), failure)
    end
  end
end

if not arguments.may_read then
  return answer('closed', anomaly)
end

local known, began = trusted_epoch()
if known ~= arguments.epoch and arguments.own > 0 then
  keep()
  return answer('epoch', anomaly, known)
end

local last = number(redis.call('HGET', state, 'n' .. order), latest)
local wait, count = take(began)
keep()
if wait then
  return answer('spent', anomaly, text(wait), text(count))
end
-- Above every turn that the store or the replica knows, even if the store lost turns or its clock was set back.
local turn = math.max(last, above, number(arguments.highest, latest)) + 1
turn = math.max(turn, now)
-- With other balances, the common order has another name. The highest turn of all these orders is kept here, because
-- a mark must be above it.
if order ~= balance then
  local highest = number(redis.call('HGET', state, 'common'), latest)
  redis.call('HSET', state, 'common', text(math.max(highest, turn)))
end
redis.call('HSET', state, 'n' .. order, text(turn),
  'l' .. order, text(turn) .. ' ' .. text(now) .. ' ' .. arguments.lease)
return answer('granted', anomaly, text(turn), text(count), known)
