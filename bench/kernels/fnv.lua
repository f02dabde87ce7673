-- The 64-bit FNV-1a hash of n bytes.
local bxor = require("bit").bxor

return function(bytes, n)
  local hash = 0xcbf29ce484222325ULL
  for i = 0, n - 1 do
    hash = bxor(hash, bytes[i])
    hash = hash * 0x100000001b3ULL
  end
  return hash
end
