-- Deletes what cannot be understood. KEYS: whatever it is.
redis.call('DEL', unpack(KEYS))
return answer('forgotten')
