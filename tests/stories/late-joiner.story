# A site comes up after the message was sent: it learns of it by a repeat.
sites    hq field ship
weather  calm
seed     15
absent   ship

hq     mail to=watch@field.test,captain@ship.test "For both"
then   within 10m  field has "For both"
wait   10m
ship   starts
then   within 2h   ship has "For both"
then   within 1h   everything is delivered
