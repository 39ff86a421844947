-- What every script begins with. Times are microseconds of the store's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A number as text with all its digits; Lua's own way keeps fourteen.
local function text(number)
  return string.format('%.0f', number)
end

-- A stored number; whatever is none, or is after `most`, is 0.
local function number(stored, most)
  local value = tonumber(stored or '')
  if value == nil or value ~= value or value < 0 or value > most then
    return 0
  end
  return math.floor(value)
end

-- Turns and marks are an order: where the clock was set back they run ahead of it, by less than they are kept.
local latest = now + 3600 * 1000000

-- What a replica understands as an answer of ours, and of this version.
local function answer(kind, ...)
  return { 'balance-gateway/1', text(now), kind, ... }
end
