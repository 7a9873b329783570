# A mail that waits is reported as delayed, and delivered later.
sites    hq field
weather  calm
seed     16
delay-notice 30m

radio  outage 1h
hq     mail from=boss@hq.test to=watch@field.test notify=delay,failure "Slow"
then   within 45m  hq has report delayed for watch@field.test
then   within 3h   field has "Slow"
then   within 1h   everything is delivered
