-- Planets under one another's gravity for some steps of 0.01 days, from a start that is copied; the energy at the end.
local ffi = require("ffi")
local sqrt = math.sqrt

ffi.cdef [[struct body { double x, y, z, vx, vy, vz, mass; };]]
local of_bodies = ffi.typeof("struct body *")

local function advance(bodies, count, dt)
  for i = 0, count - 1 do
    local a = bodies + i
    for j = i + 1, count - 1 do
      local b = bodies + j
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      local square = dx * dx + dy * dy + dz * dz
      local magnitude = dt / (square * sqrt(square))
      a.vx = a.vx - dx * b.mass * magnitude
      a.vy = a.vy - dy * b.mass * magnitude
      a.vz = a.vz - dz * b.mass * magnitude
      b.vx = b.vx + dx * a.mass * magnitude
      b.vy = b.vy + dy * a.mass * magnitude
      b.vz = b.vz + dz * a.mass * magnitude
    end
  end
  for i = 0, count - 1 do
    local a = bodies + i
    a.x = a.x + dt * a.vx
    a.y = a.y + dt * a.vy
    a.z = a.z + dt * a.vz
  end
end

local function energy(bodies, count)
  local sum = 0
  for i = 0, count - 1 do
    local a = bodies + i
    sum = sum + 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
    for j = i + 1, count - 1 do
      local b = bodies + j
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      sum = sum - a.mass * b.mass / sqrt(dx * dx + dy * dy + dz * dz)
    end
  end
  return sum
end

return function(numbers, start, count, steps)
  for i = 0, count * 7 - 1 do
    numbers[i] = start[i]
  end
  local bodies = ffi.cast(of_bodies, numbers)
  for _ = 1, steps do
    advance(bodies, count, 0.01)
  end
  return energy(bodies, count)
end
