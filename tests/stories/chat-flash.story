# A FLASH overtakes what waits for the radio.
sites    hq field
weather  bits_per_second=75
seed     37
chat     flash=captain@* filter=none

hq     chat ann to bob@field.test "Long routine matter number one, which takes its time at this rate and is not urgent at all"
hq     chat dan to eve@field.test "Long routine matter number two, which takes its time at this rate and is not urgent at all"
hq     chat ann to eve@field.test "Long routine matter number three, which takes its time at this rate and is not urgent"
hq     chat dan to bob@field.test "Long routine matter number four, which takes its time at this rate and is not urgent"
wait   40s
hq     chat ann to bob@field.test "Routine at last"
hq     chat captain to bob@field.test "Turn back"
then   within 30m  field hears "Routine at last"
then   field hears "Turn back" before "Routine at last"
