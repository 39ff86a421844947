-- Takes one more call for a running read: for a retry or a token. KEYS: 1 the account's state, 2 its calls.
-- Arguments: what `take` and `trusted_epoch` need, and epoch (that the replica knows).
local known, began = trusted_epoch()
keep()
if known ~= arguments.epoch and arguments.own > 0 then
  return answer('epoch', '', known)
end
local wait, count = take(began)
if wait then
  return answer('spent', '', text(wait), text(count))
end
return answer('taken', '', text(count), known)
