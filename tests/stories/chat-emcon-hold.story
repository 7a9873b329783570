# The far site keeps silence and chat is held; it flows when the silence ends.
sites    hq ship
silent   ship
weather  calm
seed     39
chat     emcon=hold

hq     chat ann to captain@ship.test "Held"
never  within 1h   ship hears "Held"
then   hq shows "held: the far site keeps silence"
hq     says ship heard
then   within 5m   ship hears "Held"
