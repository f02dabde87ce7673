-- The CRC-32 of n bytes, by a table that is made first.
local bit = require("bit")
local band, bxor, rshift = bit.band, bit.bxor, bit.rshift

return function(entries, bytes, n)
  for i = 0, 255 do
    local entry = i
    for _ = 1, 8 do
      if band(entry, 1) ~= 0 then
        entry = bxor(rshift(entry, 1), 0xedb88320)
      else
        entry = rshift(entry, 1)
      end
    end
    entries[i] = entry
  end
  local crc = 0xffffffff
  for i = 0, n - 1 do
    crc = bxor(rshift(crc, 8), entries[band(bxor(crc, bytes[i]), 0xff)])
  end
  return bxor(crc, 0xffffffff)
end
