-- Runs one kernel for `cnp bench kernels`: luajit driver.lua KERNEL.lua ARGUMENTS, then a command a line on stdin.
--
-- ARGUMENTS has one argument a line: "number 12", or "buffer int64_t 100 FILE", the buffer's bytes being in FILE.
-- "outcome" calls the kernel, writes every buffer back to its file, and answers with the result; "time" answers with
-- the seconds that one call took.
local ffi = require("ffi")

ffi.cdef [[
struct moment { long seconds, nanoseconds; };
int clock_gettime(int clock, struct moment *now);
]]

local MONOTONIC = 1
local moment = ffi.new("struct moment")

local function now()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) * 1e-9
end

local function read(line, buffers)
  local number = line:match("^number (%S+)$")
  if number then
    return tonumber(number)
  end
  local element, count, path = line:match("^buffer (%S+) (%d+) (.+)$")
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  local array = ffi.new(ffi.typeof("$[?]", ffi.typeof(element)), tonumber(count))
  ffi.copy(array, bytes, #bytes)
  buffers[#buffers + 1] = { array = array, path = path, size = #bytes }
  return array
end

local function shown(result)
  return type(result) == "number" and string.format("%.17g", result) or tostring(result)
end

local kernel, arguments, buffers, n = dofile(arg[1]), {}, {}, 0
for line in io.lines(arg[2]) do
  n = n + 1
  arguments[n] = read(line, buffers)
end

for command in io.lines() do
  if command == "outcome" then
    local result = kernel(unpack(arguments, 1, n))
    for _, buffer in ipairs(buffers) do
      local file = assert(io.open(buffer.path, "wb"))
      file:write(ffi.string(buffer.array, buffer.size))
      file:close()
    end
    print(shown(result))
  else
    local start = now()
    kernel(unpack(arguments, 1, n))
    print(string.format("%.9f", now() - start))
  end
  io.flush()
end
