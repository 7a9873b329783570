# The radio is out: who joins a room and leaves it before the join has left this site costs nothing, whatever nick he tries.
sites    hq field
weather  calm
seed     43
chat     filter=none

hq     chat ann to bob@field.test "Before"
then   within 2m   field hears "Before"
radio  outage 20m
hq     chat ann to bob@field.test "Into a block that is overdue"
wait   3m
hq     joins dan ops@chat.field.test as Dan
hq     joins dan ops@chat.field.test as Daniel
wait   10s
hq     leaves dan ops@chat.field.test as Daniel
# A second try that is not given up crosses; the room never heard of the first.
hq     joins eve ops@chat.field.test as Eve
hq     leaves eve ops@chat.field.test as Eve
hq     joins eve ops@chat.field.test as Evelyn
then   within 40m  field room ops@chat.field.test has Evelyn
then   field room ops@chat.field.test got 1 stanzas
