-- The breaker of a provider, for what the provider answered to any replica. KEYS: 1 the breaker.
-- ARGV: 1 what happens (failed, answered, balance, unknown: how an attempt ended; probe: one would leave; look; reset),
-- 2 failures that open it, 3 cool-down, 4 how long an attempt may take, 5 probe, 6 channel, 7 provider,
-- 8 life in milliseconds.
local breaker, what, cooldown, probe = KEYS[1], ARGV[1], tonumber(ARGV[3]), ARGV[5]
local fields = redis.call('HMGET', breaker, 'failures', 'until', 'probe', 'probed')
local failures = number(fields[1], 1000000)
local is_open = number(fields[2], now + cooldown) > 0
local open_until = number(fields[2], now + cooldown)
local is_probing = fields[3] and number(fields[4], now) + tonumber(ARGV[4]) > now
local is_probe = is_open and probe ~= '' and fields[3] == probe

local function open()
  open_until, is_open = now + cooldown, true
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, 'until', text(open_until))
end

local function close()
  is_open = false
  redis.call('DEL', breaker)
end

local function tell()
  local left = is_open and math.max(open_until - now, 1) or 0
  redis.call('PUBLISH', ARGV[6], 'breaker ' .. ARGV[7] .. ' ' .. text(left))
end

if what == 'probe' then
  if is_open and open_until <= now and not is_probing then
    redis.call('HSET', breaker, 'probe', probe, 'probed', text(now))
    return answer('granted')
  end
elseif what == 'failed' then
  if is_probe then
    open()
    tell()
  elseif not is_open then
    failures = failures + 1
    if failures >= tonumber(ARGV[2]) then
      open()
      tell()
    else
      redis.call('HSET', breaker, 'failures', text(failures))
      redis.call('PUBLISH', ARGV[6], 'failing ' .. ARGV[7] .. ' ' .. text(failures))
    end
  end
elseif what == 'reset' or is_probe and (what == 'answered' or what == 'balance') then
  close()
  tell()
elseif what == 'balance' and not is_open then
  close()
elseif what == 'unknown' and is_probe then
  redis.call('HDEL', breaker, 'probe', 'probed')
end
redis.call('PEXPIRE', breaker, ARGV[8])
if not is_open then
  return answer('closed', text(failures))
elseif open_until > now then
  return answer('open', text(open_until - now))
end
return answer('half-open', is_probing and '1' or '0')
