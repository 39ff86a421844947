-- Deletes keys whose values cannot be read. KEYS: these keys.
redis.call('DEL', unpack(KEYS))
return answer('forgotten')
