# A ship keeps silence: it gets its mail, and answers when it may.
sites    hq ship
weather  calm
seed     7
silent   ship

ship   emcon on
wait   2s
hq     mail to=captain@ship.test precedence=flash "Return to port"
then   within 10m  ship has 1 mail from hq
then   hq shows "silence"
then   hq owes 1 mail
wait   1h
ship   emcon off
then   within 15m  everything is delivered
then   ship has 1 mail
